"""What things are: frozen types without I/O and without a clock. The floor that every other room stands on.

Called, it is one call of a model, as `emitter.api.model` says: `with trajectory.model("gpt-5", messages=messages) as call:`.
"""
