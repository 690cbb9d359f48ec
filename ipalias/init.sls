#!yaml
# Everything the pillar asks for.
include:
  - ipalias.alias
  - ipalias.dsr
  - ipalias.platform
