#!yaml
# Every kernel setting of the pillar, in one change; what left the pillar is given up.
ipalias-sysctl-managed:
  ipalias_sysctl.managed:
    - name: ipalias
    - pillar: ipalias
