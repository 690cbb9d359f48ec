#!yaml
# What freebsd needs around the files: nothing, rc.d/netif reads them at boot. The states of all
# dialects stand in one SLS, and each does something only where its dialect owns an interface.
include:
  - ipalias.platform
