# What netplan needs around the files. Looked at only after a change, and only where the
# module's own detection says that netplan owns an interface of the pillar.
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set service = parameters["platform"]["netplan"]["service"] %}
include:
  - ipalias.alias
{%- if service and "service.enabled" in salt %}

ipalias-platform-netplan-service:
  service.enabled:
    - name: {{ service | json }}
    - onlyif:
      - fun: ipalias.uses
        args:
          - netplan
    - onchanges:
      - sls: ipalias.alias
{%- endif %}
