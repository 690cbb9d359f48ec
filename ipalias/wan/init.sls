#!yaml
# Several ways out as the pillar describes them: settings, routes, rules, NAT, the monitor.
ipalias-wan-managed:
  ipalias_wan.managed:
    - name: ipalias
    - pillar: ipalias

# The minion's beacon, and with `react: event` its own engine, see docs/wan.md.
ipalias-wan-reported:
  ipalias_wan.reported:
    - name: ipalias
    - pillar: ipalias
    - require:
      - ipalias_wan: ipalias-wan-managed
