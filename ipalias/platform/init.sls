# What the dialects need around the files: their service, started at boot. Looked at only after
# a change; which dialects own an interface of the pillar the state finds by itself.
# One SLS for all of them: Salt takes as long to render one more as the run that finds
# nothing to do.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set services = {} %}
{%- for dialect, needs in parameters["platform"] | dictsort %}
{%- if needs.get("service") %}
{%- do services.update({dialect: needs["service"]}) %}
{%- endif %}
{%- endfor %}
include:
  - ipalias.alias

ipalias-platform-service:
  ipalias.boot_service:
    - name: ipalias
    - services: {{ services | json }}
    - onchanges:
      - sls: ipalias.alias
