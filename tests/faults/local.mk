# tests of tests/faults
