<?php
/**
 * Signed tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA256 (RFC 7515, "HS256").
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * Makes tokens. Nothing here reads one: the shop never takes a token from anybody.
 */
final class Token {

	const SECONDS = 60;

	/**
	 * Base64url without padding (RFC 7515, section 2).
	 *
	 * @param string $bytes Any bytes.
	 */
	public static function base64url( string $bytes ): string {
		// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions.obfuscation_base64_encode -- What the standard asks for.
		return rtrim( strtr( base64_encode( $bytes ), '+/', '-_' ), '=' );
	}

	/**
	 * The third part of a token: the MAC over the first two with the point between them.
	 *
	 * @param string $input  Header and claims, as they are sent.
	 * @param string $secret The shared secret.
	 */
	public static function mac( string $input, string $secret ): string {
		return self::base64url( hash_hmac( 'sha256', $input, $secret, true ) );
	}

	/**
	 * A token of one type. The type is signed with it, so that one made for reading is never taken for a sign-in.
	 *
	 * @param string              $type   "launch+jwt", "read+jwt", "poke+jwt" or "sign-out+jwt".
	 * @param array<string,mixed> $claims What it says. Text that is not UTF-8 is made so.
	 * @param string              $secret The shared secret.
	 */
	public static function sign( string $type, array $claims, string $secret ): string {
		$header = array(
			'alg' => 'HS256',
			'typ' => $type,
		);
		$input  = self::base64url( self::json( $header ) ) . '.' . self::base64url( self::json( $claims ) );
		return $input . '.' . self::mac( $input, $secret );
	}

	/**
	 * The claims that every token has.
	 *
	 * @param string $issuer   The shop's address.
	 * @param string $audience The bridge's address.
	 * @param int    $now      Unix time.
	 * @return array<string,mixed>
	 */
	public static function common_claims( string $issuer, string $audience, int $now ): array {
		return array(
			'iss' => $issuer,
			'aud' => $audience,
			'iat' => $now,
			'exp' => $now + self::SECONDS,
			'jti' => bin2hex( random_bytes( 16 ) ),
		);
	}

	/**
	 * Compact JSON.
	 *
	 * @param array<string,mixed> $value What to write.
	 */
	private static function json( array $value ): string {
		// phpcs:ignore WordPress.WP.AlternativeFunctions.json_encode_json_encode -- Works without WordPress, for the tests.
		return json_encode( $value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR );
	}
}
