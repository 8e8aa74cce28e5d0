<?php
/**
 * What a product gives, as its fields say it.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * The grammar of the fields "bridge_…". The bridge reads the same, and has the last word. Needs no WordPress.
 */
final class Offer {

	const FIELDS           = array( 'bridge_gives', 'bridge_days', 'bridge_starts', 'bridge_until', 'bridge_seats', 'bridge_for', 'bridge_pick', 'bridge_assign_days', 'bridge_assign_until', 'bridge_report' );
	const MOST_DAYS        = 36500;
	const MOST_SEATS       = 1000;
	const SKU_PREFIX       = 'totara-course-';
	const NOTHING          = 'nothing';
	private const ITEM     = '/\A(course|audience|program|certification):\s*([1-9][0-9]{0,17})\z/';
	private const FOR_WHOM = array( 'buyer', 'team', 'ask' );
	private const FLAGS    = array( 'bridge_pick', 'bridge_report' );
	private const YES      = array( 'yes', 'y', 'true', 't', 'on', '1' );
	private const NO       = array( 'no', 'n', 'false', 'f', 'off', '0' );

	/**
	 * The things that a text names, as "course:12"; null if it can't be read or names one twice.
	 *
	 * @param string $text As in the field "bridge_gives".
	 * @return string[]|null
	 */
	public static function items( string $text ): ?array {
		$text = strtolower( trim( $text ) );
		if ( self::NOTHING === $text ) {
			return array();
		}
		$items = array();
		foreach ( array_filter( array_map( 'trim', explode( ',', $text ) ), 'strlen' ) as $word ) {
			if ( ! preg_match( self::ITEM, $word, $found ) ) {
				return null;
			}
			$items[] = $found[1] . ':' . $found[2];
		}
		return $items && count( array_unique( $items ) ) === count( $items ) ? $items : null;
	}

	/**
	 * The course that a SKU stands for, as the catalogue writes them; 0 if it stands for none.
	 *
	 * @param string $sku       The product's.
	 * @param bool   $variation Whether it is a variation's, which may have a suffix.
	 */
	public static function course_of_sku( string $sku, bool $variation = false ): int {
		$pattern = '/\A' . self::SKU_PREFIX . '([1-9][0-9]{0,17})' . ( $variation ? '(?:-.*)?' : '' ) . '\z/is';
		return preg_match( $pattern, trim( $sku ), $found ) ? (int) $found[1] : 0;
	}

	/**
	 * The fields in their normal form, without the empty ones.
	 *
	 * @param array<string,string> $fields Field => text.
	 * @return array<string,string>
	 */
	public static function normal( array $fields ): array {
		$fields = array_filter( array_map( 'trim', array_intersect_key( $fields, array_flip( self::FIELDS ) ) ), 'strlen' );
		if ( isset( $fields['bridge_gives'] ) ) {
			$items                  = self::items( $fields['bridge_gives'] );
			$fields['bridge_gives'] = null === $items ? $fields['bridge_gives'] : ( $items ? implode( ', ', $items ) : self::NOTHING );
		}
		foreach ( array_intersect( self::FLAGS, array_keys( $fields ) ) as $flag ) {
			$fields[ $flag ] = self::flag( $fields[ $flag ] );
		}
		return $fields;
	}

	/**
	 * A text that says yes or no as "yes" or "no"; any other as it is.
	 *
	 * @param string $text As in the fields "bridge_pick" and "bridge_report".
	 */
	public static function flag( string $text ): string {
		$word = strtolower( $text );
		if ( in_array( $word, self::YES, true ) ) {
			return 'yes';
		}
		return in_array( $word, self::NO, true ) ? 'no' : $text;
	}

	/**
	 * The fields that can't be read, and those that can't be beside another.
	 *
	 * @param array<string,string> $fields In their normal form.
	 * @return string[]
	 */
	public static function wrong( array $fields ): array {
		$wrong = array();
		foreach ( $fields as $field => $text ) {
			if ( ! self::can_be_read( $field, $text ) ) {
				$wrong[] = $field;
			}
		}
		return $wrong ? $wrong : self::contradicting( $fields );
	}

	/**
	 * Whether a field can be read by itself.
	 *
	 * @param string $field One of FIELDS.
	 * @param string $text  What it holds, in its normal form.
	 */
	private static function can_be_read( string $field, string $text ): bool {
		switch ( $field ) {
			case 'bridge_gives':
				return null !== self::items( $text );
			case 'bridge_days':
			case 'bridge_assign_days':
				return self::is_count( $text, self::MOST_DAYS );
			case 'bridge_seats':
				return self::is_count( $text, self::MOST_SEATS );
			case 'bridge_starts':
			case 'bridge_until':
			case 'bridge_assign_until':
				return self::is_day( $text );
			case 'bridge_for':
				return in_array( $text, self::FOR_WHOM, true );
		}
		return in_array( $text, array( 'yes', 'no' ), true );
	}

	/**
	 * The fields that can't be beside another: an end before the beginning; a pick of one thing, or by nobody.
	 *
	 * @param array<string,string> $fields In their normal form, each readable by itself.
	 * @return string[]
	 */
	private static function contradicting( array $fields ): array {
		$wrong = array();
		if ( isset( $fields['bridge_starts'], $fields['bridge_until'] ) && $fields['bridge_until'] < $fields['bridge_starts'] ) {
			$wrong[] = 'bridge_until';
		}
		if ( 'yes' === ( $fields['bridge_pick'] ?? '' ) ) {
			$several = count( (array) self::items( $fields['bridge_gives'] ?? '' ) ) > 1;
			if ( ! $several || 'buyer' === ( $fields['bridge_for'] ?? '' ) ) {
				$wrong[] = 'bridge_pick';
			}
		}
		return $wrong;
	}

	/**
	 * Whether a text is a day such as 2027-12-31.
	 *
	 * @param string $text The text.
	 */
	public static function is_day( string $text ): bool {
		return preg_match( '/\A(2[0-9]{3})-([0-9]{2})-([0-9]{2})\z/', $text, $part ) && checkdate( (int) $part[2], (int) $part[3], (int) $part[1] );
	}

	/**
	 * Whether a text is a whole number from 1 to the most.
	 *
	 * @param string $text The text.
	 * @param int    $most The largest that is sensible.
	 */
	private static function is_count( string $text, int $most ): bool {
		return preg_match( '/\A[1-9][0-9]{0,5}\z/', $text ) && (int) $text <= $most;
	}
}
