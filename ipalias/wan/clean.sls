#!yaml
# The monitor, NAT, rules, routes and settings of several ways out taken away again.
ipalias-wan-absent:
  ipalias_wan.absent:
    - name: ipalias
    - pillar: ipalias
