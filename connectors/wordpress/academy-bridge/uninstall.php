<?php
/**
 * Leaves nothing of its own behind. What orders and products hold stays: it is the shop's, and the bridge reads it.
 *
 * @package Academy_Bridge
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

delete_option( 'academy_bridge' );
delete_option( 'academy_bridge_flushed' );
wp_unschedule_hook( 'academy_bridge_poke' );
wp_unschedule_hook( 'academy_bridge_sign_out' );

global $wpdb;
// phpcs:ignore WordPress.DB.DirectDatabaseQuery -- Transients have no other way to be found by the beginning of their name.
$wpdb->query( $wpdb->prepare( "DELETE FROM {$wpdb->options} WHERE option_name LIKE %s OR option_name LIKE %s", $wpdb->esc_like( '_transient_academy_bridge_' ) . '%', $wpdb->esc_like( '_transient_timeout_academy_bridge_' ) . '%' ) );
