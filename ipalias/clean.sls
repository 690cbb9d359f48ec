#!yaml
# Everything of ours taken away again, in reverse order.
include:
  - ipalias.alias.clean
  - ipalias.sysctl.clean
