<?php
/**
 * The settings, and what may be one.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * Reads the settings. Address and secret may also stand in wp-config.php, which then counts.
 */
final class Settings {

	const OPTION = 'academy_bridge';
	const PLACES = array( 'thankyou', 'order', 'mails', 'courses', 'gives', 'choice', 'poke' );

	/**
	 * The bridge's address without a slash at its end; "" while there is none.
	 */
	public static function address(): string {
		return self::clean_address( self::text( 'address', 'ACADEMY_BRIDGE_ADDRESS' ) );
	}

	/**
	 * The secret shared with the bridge; "" while there is none.
	 */
	public static function secret(): string {
		$secret = self::text( 'secret', 'ACADEMY_BRIDGE_SECRET' );
		return self::is_secret( $secret ) ? $secret : '';
	}

	/**
	 * Whether there is what signing needs.
	 */
	public static function ready(): bool {
		return '' !== self::address() && '' !== self::secret();
	}

	/**
	 * The shop's address as the bridge knows it. The stored one: home_url() changes with the request and the language.
	 */
	public static function issuer(): string {
		return untrailingslashit( (string) get_option( 'home' ) );
	}

	/**
	 * Whether one of the places is on, and the plugin is set up. All are on until somebody switches one off.
	 *
	 * @param string $place One of PLACES.
	 */
	public static function shows( string $place ): bool {
		return self::ready() && self::is_on( $place );
	}

	/**
	 * Whether one of the places is switched on.
	 *
	 * @param string $place One of PLACES.
	 */
	public static function is_on( string $place ): bool {
		$places = self::all()['places'] ?? array();
		return ! is_array( $places ) || ! empty( $places[ $place ] ?? true );
	}

	/**
	 * Whether the button stands on every paid order, whatever the shop knows of its products.
	 */
	public static function on_every_order(): bool {
		return ! empty( self::all()['every_order'] );
	}

	/**
	 * The address without a slash at its end, or "" if it is none that may be used. Needs no WordPress.
	 *
	 * Plain http is for a bridge on this very machine: what is sent signs people in.
	 *
	 * @param string $address As somebody typed it.
	 */
	public static function clean_address( string $address ): string {
		$address = rtrim( trim( $address ), '/' );
		if ( ! preg_match( '~\A(https?)://(\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?(/[A-Za-z0-9._\~/-]*)?\z~i', $address, $part ) ) {
			return '';
		}
		$here = in_array( strtolower( $part[2] ), array( 'localhost', '127.0.0.1', '[::1]' ), true );
		return 'https' === strtolower( $part[1] ) || $here ? $address : '';
	}

	/**
	 * Whether a text may be the secret. Needs no WordPress.
	 *
	 * @param string $secret As somebody typed it.
	 */
	public static function is_secret( string $secret ): bool {
		return 1 === preg_match( '/\A[A-Za-z0-9_-]{32,512}\z/', $secret );
	}

	/**
	 * What is stored.
	 *
	 * @return array<string,mixed>
	 */
	public static function all(): array {
		$stored = get_option( self::OPTION, array() );
		return is_array( $stored ) ? $stored : array();
	}

	/**
	 * A text from wp-config.php or from what is stored.
	 *
	 * @param string $name     The setting.
	 * @param string $constant The constant that counts before it.
	 */
	private static function text( string $name, string $constant ): string {
		$value = defined( $constant ) ? constant( $constant ) : ( self::all()[ $name ] ?? '' );
		return is_string( $value ) ? $value : '';
	}
}
