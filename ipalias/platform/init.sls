# What each dialect needs around the files: its service, started at boot. Looked at only after
# a change; whether a dialect owns an interface of the pillar is the module's own detection.
# One SLS for all of them: Salt takes as long to render one more as the run that finds
# nothing to do.
{%- from "ipalias/map.jinja" import parameters with context %}
include:
  - ipalias.alias
{%- for dialect, needs in parameters["platform"] | dictsort %}
{%- if needs.get("service") %}

{{ ("ipalias-platform-" ~ dialect ~ "-service") | json }}:
  ipalias.boot_service:
    - name: {{ needs["service"] | json }}
    - backend: {{ dialect | json }}
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
{%- endfor %}
