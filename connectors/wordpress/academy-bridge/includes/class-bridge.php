<?php
/**
 * Talking to the bridge.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WP_Error;

defined( 'ABSPATH' ) || exit;

/**
 * Signs, and asks.
 */
final class Bridge {

	const MOST_BYTES = 262144;

	/**
	 * A token for this bridge from this shop.
	 *
	 * @param string              $type   "launch", "read", "poke" or "sign-out".
	 * @param array<string,mixed> $claims What it says beside what every token says.
	 */
	public static function token( string $type, array $claims ): string {
		$common = Token::common_claims( Settings::issuer(), Settings::address(), time() );
		return Token::sign( $type . '+jwt', array_merge( $claims, $common ), Settings::secret() );
	}

	/**
	 * What the bridge answers to a signed question, or what kept it from answering.
	 *
	 * @param string $path    Below the bridge's address.
	 * @param int    $subject The customer who is asked about; 0 for nobody.
	 * @param int    $seconds How long to wait at most.
	 * @return array<string,mixed>|WP_Error
	 */
	public static function ask( string $path, int $subject, int $seconds ) {
		return wp_remote_get(
			Settings::address() . $path,
			array(
				'timeout'             => $seconds,
				'redirection'         => 0,
				'limit_response_size' => self::MOST_BYTES,
				'headers'             => array(
					'Accept'          => 'application/json',
					'Accept-Language' => str_replace( '_', '-', determine_locale() ),
					'Authorization'   => 'Bearer ' . self::token( 'read', array( 'sub' => (string) $subject ) ),
				),
			)
		);
	}

	/**
	 * The JSON object in an answer, or null.
	 *
	 * @param array<string,mixed> $answer From ask().
	 * @return array<string,mixed>|null
	 */
	public static function json( array $answer ): ?array {
		$json = json_decode( wp_remote_retrieve_body( $answer ), true, 16 );
		return is_array( $json ) ? $json : null;
	}
}
