#!yaml
# Everything of ours taken away again, in reverse order.
include:
  - ipalias.dhcp.clean
  - ipalias.wan.clean
  - ipalias.dsr.clean
  - ipalias.alias.clean
  - ipalias.sysctl.clean
