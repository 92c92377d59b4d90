# tests of tests/pipeline
