"""What things are: frozen types without I/O and without a clock. The floor that every other room stands on."""
