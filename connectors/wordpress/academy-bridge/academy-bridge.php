<?php
/**
 * Plugin Name:       Academy Bridge
 * Description:       The shop's half of the bridge between WooCommerce and a Totara site: one click from the order into the course, the customer's courses in their account, and what a product gives.
 * Version:           0.2.0
 * Requires at least: 6.1
 * Requires PHP:      7.4
 * WC requires at least: 8.0
 * WC tested up to:   11.0
 * License:           GPL-2.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-2.0.html
 * Text Domain:       academy-bridge
 * Domain Path:       /languages
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

const VERSION     = '0.2.0';
const PLUGIN_FILE = __FILE__;

foreach ( array( 'token', 'target', 'offer', 'settings', 'bridge', 'launch', 'product', 'places', 'courses', 'telling', 'sign-out', 'poke', 'choice', 'product-box', 'settings-page' ) as $academy_bridge_part ) {
	require_once __DIR__ . '/includes/class-' . $academy_bridge_part . '.php';
}

register_activation_hook( __FILE__, array( Courses::class, 'flush_later' ) );
register_deactivation_hook( __FILE__, 'flush_rewrite_rules' );
add_action( 'before_woocommerce_init', __NAMESPACE__ . '\\declare_compatibility' );
add_action( 'plugins_loaded', __NAMESPACE__ . '\\start' );

/**
 * Tell WooCommerce what this plugin was made for: orders in tables of their own, and the blocks of cart and checkout.
 */
function declare_compatibility(): void {
	$features = '\Automattic\WooCommerce\Utilities\FeaturesUtil';
	if ( class_exists( $features ) ) {
		$features::declare_compatibility( 'custom_order_tables', __FILE__, true );
		$features::declare_compatibility( 'cart_checkout_blocks', __FILE__, true );
	}
}

/**
 * Hook everything in. Sign-in, the button and the settings work without WooCommerce too; the rest has nothing to do then.
 */
function start(): void {
	add_action( 'init', __NAMESPACE__ . '\\load_texts', 1 );
	Launch::register();
	Places::register();
	Settings_Page::register();
	Courses::register();
	Sign_Out::register();
	Poke::register();
	Choice::register();
	Product_Box::register();
}

/**
 * The texts in the site's language.
 */
function load_texts(): void {
	load_plugin_textdomain( 'academy-bridge', false, dirname( plugin_basename( __FILE__ ) ) . '/languages' );
}
