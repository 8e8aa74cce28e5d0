"""An embedded shop and an embedded Totara that speak the real wire format, for a first run and for the tests."""
