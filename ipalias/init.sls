#!yaml
# Everything the pillar asks for. Kernel settings first: what may depend on them comes after.
include:
  - ipalias.sysctl
  - ipalias.alias
  - ipalias.dsr
  - ipalias.platform
  - ipalias.wan
  - ipalias.dhcp
