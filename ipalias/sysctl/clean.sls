#!yaml
# Every kernel setting from the pillar or set by hand given up; those of others stay.
ipalias-sysctl-cleaned:
  ipalias_sysctl.cleaned:
    - name: ipalias
    - pillar: ipalias
