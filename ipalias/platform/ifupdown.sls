# What ifupdown needs around the files: its service, started at boot. Looked at only after a
# change; whether ifupdown owns an interface of the pillar is the module's own detection.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set service = parameters["platform"]["ifupdown"]["service"] %}
include:
  - ipalias.alias
{%- if service %}

ipalias-platform-ifupdown-service:
  ipalias.boot_service:
    - name: {{ service | json }}
    - backend: ifupdown
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
