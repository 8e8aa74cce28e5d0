<?php
/**
 * Where a sign-in leads to.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * A target is a word from a short grammar, never an address: so it can't lead anywhere else.
 */
final class Target {

	/**
	 * Whether the word is a target.
	 *
	 * @param string $word As it came.
	 */
	public static function is_valid( string $word ): bool {
		return 1 === preg_match( '/\A(?:home|courses|team|resume|(?:course|program|order):[1-9][0-9]{0,17})\z/', $word );
	}
}
