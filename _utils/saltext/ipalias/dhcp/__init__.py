"""Two DHCP servers that share their pools: ISC's failover and Kea's high availability."""
