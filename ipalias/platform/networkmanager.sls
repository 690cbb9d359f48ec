# What networkmanager needs around the files: its service, started at boot. Looked at only after a
# change; whether networkmanager owns an interface of the pillar is the module's own detection.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set service = parameters["platform"]["networkmanager"]["service"] %}
include:
  - ipalias.alias
{%- if service %}

ipalias-platform-networkmanager-service:
  ipalias.boot_service:
    - name: {{ service | json }}
    - backend: networkmanager
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
