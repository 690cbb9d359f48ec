# Direct server return: silence first, the VIPs second. Handed the pillar's path; without a VIP
# there, what an earlier pillar asked for is taken away again.
ipalias-dsr-managed:
  ipalias_dsr.managed:
    - name: ipalias
    - pillar: ipalias
