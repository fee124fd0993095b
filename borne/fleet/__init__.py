"""`borne fleet`: hosts that run the stations of a plan, engines that run the hosts, and the command's views."""
