"""Edge sites of a city, whose users move and call functions: `autoscaler/EdgeCity-v0`."""
