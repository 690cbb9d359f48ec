# Everything the pillar asks for.
include:
  - ipalias.alias
{%- for dialect in ("ifupdown", "netplan", "networkd", "networkmanager") %}
  - ipalias.platform.{{ dialect }}
{%- endfor %}
