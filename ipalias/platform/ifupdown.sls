# What ifupdown needs around the files. Looked at only after a change, and only where the
# module's own detection says that ifupdown owns an interface of the pillar.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set service = parameters["platform"]["ifupdown"]["service"] %}
include:
  - ipalias.alias
{%- if service and "service.enabled" in salt %}

ipalias-platform-ifupdown-service:
  service.enabled:
    - name: {{ service | json }}
    - onlyif:
      - fun: ipalias.uses
        args:
          - ifupdown
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
