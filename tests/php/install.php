<?php
/**
 * Installs WordPress, its users, and the plugin. First argument: everybody's password.
 */

$root = getenv( 'WORDPRESS_ROOT' );
define( 'WP_INSTALLING', true );
$_SERVER['HTTP_HOST']      = '127.0.0.1';
$_SERVER['REQUEST_METHOD'] = 'GET';
$database                  = new mysqli( 'localhost', 'root', '', '', 0, dirname( $root ) . '/mysql.sock' );
$database->query( 'CREATE DATABASE wordpress CHARACTER SET utf8mb4' );
require $root . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';
wp_install( 'The shop', 'admin', 'admin@shop.test', false, '', $argv[1] );
switch_theme( 'plain' );
update_option( 'permalink_structure', '/%postname%/' );
add_role( 'customer', 'Customer', array( 'read' => true ) );
add_role( 'shop_manager', 'Shop manager', array( 'read' => true, 'manage_woocommerce' => true ) );
foreach ( array( 'anna' => 'customer', 'boris' => 'customer', 'manager' => 'shop_manager' ) as $login => $role ) {
	wp_insert_user(
		array(
			'user_login' => $login,
			'user_pass'  => $argv[1],
			'user_email' => ucfirst( $login ) . '@shop.test',
			'first_name' => 'anna' === $login ? 'Änne "A." <b>' : '',
			'last_name'  => 'anna' === $login ? "O'Hara" : '',
			'role'       => $role,
			'locale'     => 'anna' === $login ? 'fr_FR' : '',
		)
	);
}
activate_plugin( 'academy-bridge/academy-bridge.php' );
echo wp_json_encode( is_plugin_active( 'academy-bridge/academy-bridge.php' ) );
