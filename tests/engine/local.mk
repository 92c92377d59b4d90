# tests of tests/engine
