# One state an interface; each is handed the pillar's path, never the list. The whole pillar
# is checked before the first change, so an error in one interface leaves all as they are.
{%- set interfaces = salt["pillar.get"]("ipalias:interfaces", {}) %}
{%- if interfaces is mapping %}
{%- for interface in interfaces %}

{{ ("ipalias-alias-" ~ interface) | json }}:
  ipalias.managed:
    - name: {{ interface | string | json }}
    - pillar: ipalias
    - require_in:
      - ipalias: ipalias-alias-pruned
{%- endfor %}
{%- endif %}

ipalias-alias-pruned:
  ipalias.pruned:
    - name: ipalias
    - pillar: ipalias
