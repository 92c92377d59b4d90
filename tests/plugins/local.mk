# tests of tests/plugins
