# Every VIP taken away, and with the last of them the settings that kept the host silent.
ipalias-dsr-absent:
  ipalias_dsr.absent:
    - name: ipalias
    - pillar: ipalias
