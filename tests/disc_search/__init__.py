"""How often the disc is found in photographs of other cameras, made from those of one."""
