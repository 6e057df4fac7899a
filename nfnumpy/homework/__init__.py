"""Homework that can be handed out, and a grader that decides on numbers alone.

Read `nfnumpy.homework.exercise` for what an exercise is, `properties` for what is tested, `judge` for how points come
about. A submission runs in a process of its own (`runner`, `child`), which is given inputs and returns numbers
(`protocol`, `peer`); it never sees an expected value. The exercises themselves are in ``lectures/homework``, beside
the package in a clone.
"""
