base:
  "*":
    - ipalias
