# What networkd needs around the files: its service, started at boot. Looked at only after a
# change; whether networkd owns an interface of the pillar is the module's own detection.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set service = parameters["platform"]["networkd"]["service"] %}
include:
  - ipalias.alias
{%- if service %}

ipalias-platform-networkd-service:
  ipalias.boot_service:
    - name: {{ service | json }}
    - backend: networkd
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
