# What netplan needs around the files: its service, started at boot. Looked at only after a
# change; whether netplan owns an interface of the pillar is the module's own detection.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set service = parameters["platform"]["netplan"]["service"] %}
include:
  - ipalias.alias
{%- if service %}

ipalias-platform-netplan-service:
  ipalias.boot_service:
    - name: {{ service | json }}
    - backend: netplan
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
