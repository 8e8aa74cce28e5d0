<?php
/**
 * Runs the parts of the plugin that need no WordPress. Reads [[class, method, arguments], …] as JSON, writes what they
 * return as JSON. An argument {"bytes": "…"} is base64 of bytes that JSON can't hold.
 */

error_reporting( E_ALL );
set_error_handler(
	function ( $number, $text, $file, $line ) {
		throw new ErrorException( $text, 0, $number, $file, $line );
	}
);
define( 'ABSPATH', __DIR__ . '/' );

foreach ( array( 'token', 'target', 'offer', 'settings', 'courses', 'sign-out' ) as $part ) {
	require getenv( 'PLUGIN' ) . '/includes/class-' . $part . '.php';
}

/** An argument, with its bytes. */
function argument( $value ) {
	if ( is_array( $value ) && array( 'bytes' ) === array_keys( $value ) ) {
		return base64_decode( $value['bytes'], true );
	}
	return is_array( $value ) ? array_map( 'argument', $value ) : $value;
}

$results = array();
foreach ( json_decode( stream_get_contents( STDIN ), true ) as list( $class, $method, $arguments ) ) {
	$results[] = call_user_func_array( array( 'Academy_Bridge\\' . $class, $method ), array_map( 'argument', $arguments ) );
}
echo json_encode( $results );
