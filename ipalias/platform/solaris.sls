#!yaml
# What solaris needs around the files. The states of all dialects stand in one SLS, and each
# does something only where its dialect owns an interface.
include:
  - ipalias.platform
