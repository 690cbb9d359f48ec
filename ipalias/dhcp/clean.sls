#!yaml
# The pair's configuration taken away; what was there before is back, and leases stay.
ipalias-dhcp-unreported:
  ipalias_dhcp.unreported:
    - name: ipalias

ipalias-dhcp-absent:
  ipalias_dhcp.absent:
    - name: ipalias
    - pillar: ipalias
