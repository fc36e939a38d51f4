"""A call of hours, sampled twice a minute: does anything grow, drift or break?"""
