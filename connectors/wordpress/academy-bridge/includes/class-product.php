<?php
/**
 * What the shop knows of what its products and orders give.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Order;
use WC_Order_Item_Product;
use WC_Product;

defined( 'ABSPATH' ) || exit;

/**
 * Reads products. Offers that only the bridge's own file names are not known here.
 */
final class Product {

	/**
	 * A field of a product: the variation's own, else its parent's.
	 *
	 * @param WC_Product $product A product or variation.
	 * @param string     $field   One of Offer::FIELDS.
	 */
	public static function field( WC_Product $product, string $field ): string {
		$own = $product->get_meta( $field );
		if ( is_scalar( $own ) && '' !== trim( (string) $own ) ) {
			return trim( (string) $own );
		}
		$parent = $product->get_parent_id() ? wc_get_product( $product->get_parent_id() ) : false;
		return $parent ? self::field( $parent, $field ) : '';
	}

	/**
	 * What a product gives, as far as it can be known here; empty if that is nothing or not known.
	 *
	 * @param WC_Product $product A product or variation.
	 * @return string[] Such as "course:12".
	 */
	public static function items( WC_Product $product ): array {
		$said = self::field( $product, 'bridge_gives' );
		if ( '' !== $said ) {
			return (array) Offer::items( $said );
		}
		$course = Offer::course_of_sku( (string) $product->get_sku(), 'variation' === $product->get_type() );
		$items  = $course ? array( 'course:' . $course ) : array();
		/**
		 * What a product gives whose fields and SKU don't say it: for shops whose offers stand in the bridge's file.
		 *
		 * @param string[]   $items   Such as "course:12".
		 * @param WC_Product $product The product.
		 */
		return (array) apply_filters( 'academy_bridge_product_items', $items, $product );
	}

	/**
	 * Whether the offer leaves it to the buyer to say for whom it is. Not where somebody is named, nor where each place
	 * is of one thing that is picked when the place is given away.
	 *
	 * @param WC_Product $product A product or variation.
	 */
	public static function leaves_open( WC_Product $product ): bool {
		$for = self::field( $product, 'bridge_for' );
		return ( 'ask' === $for || ( '' === $for && self::items( $product ) ) ) && ! self::picks( $product );
	}

	/**
	 * Whether the buyer has to be asked, also where a list's button would put it into the cart at once.
	 *
	 * @param WC_Product $product A product or variation.
	 */
	public static function asks( WC_Product $product ): bool {
		return 'ask' === self::field( $product, 'bridge_for' ) && ! self::picks( $product );
	}

	/**
	 * Whether each place is of one of the things, which is picked when the place is given away.
	 *
	 * @param WC_Product $product A product or variation.
	 */
	private static function picks( WC_Product $product ): bool {
		return 'yes' === Offer::flag( self::field( $product, 'bridge_pick' ) );
	}

	/**
	 * The places that one unit gives.
	 *
	 * @param WC_Product $product A product or variation.
	 */
	public static function places( WC_Product $product ): int {
		return max( 1, (int) self::field( $product, 'bridge_seats' ) );
	}

	/**
	 * For whom the lines of an order are that give something: any of "me", "team", "gift".
	 *
	 * @param WC_Order $order An order.
	 * @return array<string,bool>
	 */
	public static function for_whom( WC_Order $order ): array {
		$whom = array();
		foreach ( $order->get_items() as $line ) {
			if ( $line instanceof WC_Order_Item_Product && self::line_gives( $line ) ) {
				$whom[ self::line_for( $line ) ] = true;
			}
		}
		return $whom;
	}

	/**
	 * Whether a line gives something.
	 *
	 * @param WC_Order_Item_Product $line An order's line.
	 */
	private static function line_gives( WC_Order_Item_Product $line ): bool {
		$product = $line->get_product();
		if ( ! $product ) {
			return Settings::on_every_order();
		}
		$nothing = Offer::NOTHING === strtolower( self::field( $product, 'bridge_gives' ) );
		return ! $nothing && ( Settings::on_every_order() || self::items( $product ) );
	}

	/**
	 * For whom a line is. What the product says comes before what the buyer said; several units are a team's.
	 *
	 * @param WC_Order_Item_Product $line An order's line.
	 */
	private static function line_for( WC_Order_Item_Product $line ): string {
		if ( '' !== (string) $line->get_meta( Choice::GIFT_META ) ) {
			return 'gift';
		}
		$product = $line->get_product();
		$said    = $product ? self::field( $product, 'bridge_for' ) : '';
		$said    = in_array( $said, array( 'buyer', 'team' ), true ) ? $said : (string) $line->get_meta( Choice::FOR_META );
		if ( $product && self::picks( $product ) ) {
			return 'team';
		}
		if ( '' === $said ) {
			return $line->get_quantity() * ( $product ? self::places( $product ) : 1 ) > 1 ? 'team' : 'me';
		}
		return 'team' === $said ? 'team' : 'me';
	}
}
