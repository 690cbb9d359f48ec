ipalias:
  backend: auto
  interfaces:
    default:
      addresses:
        - 198.51.100.10
        - {address: 198.51.100.11/32, label: failover1}
        - 198.51.100.64-198.51.100.67
        - {block: 203.0.113.16/30}
