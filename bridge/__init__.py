"""The bridge between Totara and WooCommerce."""
