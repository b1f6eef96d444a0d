"""W on one rank: where it comes from (`source`), how it is held (`storage`), the rank's part
(`shard`), and whether there is room for it (`capacity`, `fitting`).
"""
