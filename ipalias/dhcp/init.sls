#!jinja|yaml
# A member of a DHCP pair as the pillar describes it. The package's own scripts start a server
# that nobody has configured: until the pair's configuration is there its unit is masked, for
# this boot alone.
{%- set implementation = salt["pillar.get"]("ipalias:dhcp:implementation", "") %}
{%- if implementation in ("isc", "kea") %}
{%- from "ipalias/map.jinja" import parameters with context %}
{%- set server = parameters["dhcp"][implementation] %}
ipalias-dhcp-package-quiet:
  service.masked:
    - name: {{ server["service"] }}
    - runtime: true
    - unless:
        - fun: pkg.version
          args: [{{ server["package"] }}]

{%- set kind = salt["pillar.get"]("ipalias:dhcp:kea:lease_database:type", "") | string %}
{%- set database = server.get("databases", {}).get(kind) %}
ipalias-dhcp-package:
  pkg.installed:
    - name: {{ server["package"] }}
{%- if database %}
    # With what looks into the database, by which its tables are made as well.
    - pkgs:
        - {{ server["package"] }}
        - {{ server["admin"] }}
{%- set there = [] %}
{%- for program in database["programs"] if salt["cmd.has_exec"](program) %}
{%- do there.append(program) %}
{%- endfor %}
{%- if not there %}
        - {{ database["package"] }}
{%- endif %}
{%- endif %}

# Behind the package and whatever became of it: a mask that stays would keep the next run's
# server from starting.
ipalias-dhcp-package-unmasked:
  service.unmasked:
    - name: {{ server["service"] }}
    - runtime: true
{%- endif %}

ipalias-dhcp-pair:
  ipalias_dhcp.pair:
    - name: ipalias
    - pillar: ipalias
{%- if implementation in ("isc", "kea") %}
    - require:
        - pkg: ipalias-dhcp-package
{%- endif %}

# The minion's beacon, see docs/dhcp.md.
ipalias-dhcp-reported:
  ipalias_dhcp.reported:
    - name: ipalias
    - pillar: ipalias
    - require:
        - ipalias_dhcp: ipalias-dhcp-pair
