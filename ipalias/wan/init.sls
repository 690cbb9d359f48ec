#!yaml
# Several ways out as the pillar describes them: settings, routes, rules, NAT, the monitor.
ipalias-wan-managed:
  ipalias_wan.managed:
    - name: ipalias
    - pillar: ipalias
