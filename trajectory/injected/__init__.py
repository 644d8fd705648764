"""What `trajectory run` puts before a program's own modules: `sitecustomize`, which Python runs first, and the activation.

Invariant: nothing here needs Trajectory, or anything but the standard library, to be installed where the program runs, and
nothing raises into it. The folder itself goes on PYTHONPATH; `trajectory.instrument` loads the activation as a module of it.
"""
