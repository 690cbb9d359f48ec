#!yaml
ipalias-dhcp-pair:
  ipalias_dhcp.pair:
    - name: ipalias
    - pillar: ipalias
