<?php
/**
 * "For myself, for my team, as a gift": the buyer's choice, from the product page into the order's line.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Order_Item_Product;
use WC_Product;

defined( 'ABSPATH' ) || exit;

/**
 * Asks where the product's offer asks. Without an answer, as from a list's button, the line says nothing and the
 * bridge's own rule counts: one unit is the buyer's, several are to be given away.
 */
final class Choice {

	const FOR_META  = '_bridge_for';
	const GIFT_META = '_bridge_gift_to';
	const FIELD     = 'academy_bridge_for';
	const ADDRESS   = 'academy_bridge_gift_to';

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'woocommerce_before_add_to_cart_button', array( self::class, 'show' ) );
		add_filter( 'woocommerce_product_supports', array( self::class, 'by_its_page_only' ), 10, 3 );
		add_filter( 'woocommerce_product_add_to_cart_url', array( self::class, 'to_its_page' ), 10, 2 );
		add_filter( 'woocommerce_product_add_to_cart_text', array( self::class, 'says_so' ), 10, 2 );
		add_filter( 'woocommerce_add_to_cart_validation', array( self::class, 'validate' ), 10, 4 );
		add_filter( 'woocommerce_add_cart_item_data', array( self::class, 'keep' ), 10, 3 );
		add_filter( 'woocommerce_get_item_data', array( self::class, 'show_in_cart' ), 10, 2 );
		add_action( 'woocommerce_checkout_create_order_line_item', array( self::class, 'write' ), 10, 3 );
		add_filter( 'woocommerce_order_item_get_formatted_meta_data', array( self::class, 'show_in_order' ), 10, 2 );
		add_filter( 'woocommerce_hidden_order_itemmeta', array( self::class, 'hide_raw' ) );
	}

	/**
	 * The question, inside the form that puts the product into the cart.
	 */
	public static function show(): void {
		global $product;
		if ( ! $product instanceof WC_Product || ! self::is_asked( $product ) ) {
			return;
		}
		wp_enqueue_style( 'academy-bridge' );
		$said    = self::posted() ?? array( 'for' => 'me' );
		$answers = array(
			'me'   => __( 'For myself', 'academy-bridge' ),
			'team' => __( 'For my team: I give the places away', 'academy-bridge' ),
			'gift' => __( 'As a gift to', 'academy-bridge' ),
		);
		echo '<fieldset class="academy-bridge-choice"><legend>' . esc_html__( 'For whom is it?', 'academy-bridge' ) . '</legend>';
		foreach ( $answers as $answer => $label ) {
			echo '<label><input type="radio" name="' . esc_attr( self::FIELD ) . '" value="' . esc_attr( $answer ) . '"' . checked( $said['for'], $answer, false ) . '> ' . esc_html( $label ) . '</label>';
		}
		echo '<input type="email" name="' . esc_attr( self::ADDRESS ) . '" value="' . esc_attr( $said['gift_to'] ?? '' ) . '" maxlength="254" autocomplete="off" aria-label="' . esc_attr__( 'Address of the person who gets the gift', 'academy-bridge' ) . '" placeholder="' . esc_attr__( 'name@example.org', 'academy-bridge' ) . '"></fieldset>';
	}

	/**
	 * No button in lists that would put it into the cart unasked.
	 *
	 * @param bool       $supports Whether the feature is there.
	 * @param string     $feature  Its name.
	 * @param WC_Product $product  The product.
	 */
	public static function by_its_page_only( $supports, $feature, $product ) {
		return 'ajax_add_to_cart' === $feature && self::is_asked( $product ) ? false : $supports;
	}

	/**
	 * The button in lists leads to the product's page.
	 *
	 * @param string     $url     Where to.
	 * @param WC_Product $product The product.
	 */
	public static function to_its_page( $url, $product ) {
		return self::is_asked( $product ) ? $product->get_permalink() : $url;
	}

	/**
	 * And says so.
	 *
	 * @param string     $text    What the button in lists says.
	 * @param WC_Product $product The product.
	 */
	public static function says_so( $text, $product ) {
		return self::is_asked( $product ) ? __( 'Choose for whom', 'academy-bridge' ) : $text;
	}

	/**
	 * Whether what was chosen can be: a gift needs an address.
	 *
	 * @param bool $passed       Whether others let it pass.
	 * @param int  $product_id   The product.
	 * @param int  $quantity     How many.
	 * @param int  $variation_id The variation, or 0.
	 */
	public static function validate( $passed, $product_id, $quantity = 1, $variation_id = 0 ) {
		$said = self::said_of( (int) $product_id, (int) $variation_id );
		if ( null === $said ) {
			return $passed;
		}
		if ( '' === $said['for'] ) {
			wc_add_notice( __( 'Please choose for whom it is.', 'academy-bridge' ), 'error' );
			return false;
		}
		if ( 'gift' === $said['for'] && ! is_email( $said['gift_to'] ) ) {
			wc_add_notice( __( 'Please give the address of the person who gets the gift.', 'academy-bridge' ), 'error' );
			return false;
		}
		return $passed;
	}

	/**
	 * Keep it with the item in the cart. The same product for somebody else is an item of its own.
	 *
	 * @param array<string,mixed> $data         What is kept.
	 * @param int                 $product_id   The product.
	 * @param int                 $variation_id The variation, or 0.
	 */
	public static function keep( $data, $product_id, $variation_id = 0 ) {
		$said = self::said_of( (int) $product_id, (int) $variation_id );
		if ( null !== $said && '' !== $said['for'] ) {
			$data[ self::FIELD ] = $said['for'];
			if ( 'gift' === $said['for'] ) {
				$data[ self::ADDRESS ] = $said['gift_to'];
			}
		}
		return $data;
	}

	/**
	 * Show it in cart and checkout.
	 *
	 * @param array<int,array<string,string>> $rows What is shown of the item.
	 * @param array<string,mixed>             $item The item.
	 */
	public static function show_in_cart( $rows, $item ) {
		$words = self::words( (string) ( $item[ self::FIELD ] ?? '' ), (string) ( $item[ self::ADDRESS ] ?? '' ) );
		if ( '' !== $words ) {
			$rows[] = array(
				'key'   => __( 'For', 'academy-bridge' ),
				'value' => $words,
			);
		}
		return $rows;
	}

	/**
	 * Write it to the order's line, and to a subscription's.
	 *
	 * @param WC_Order_Item_Product $line The line.
	 * @param string                $key  The item's key in the cart.
	 * @param array<string,mixed>   $item The item.
	 */
	public static function write( $line, $key, $item ): void {
		$for = (string) ( $item[ self::FIELD ] ?? '' );
		if ( in_array( $for, array( 'me', 'team' ), true ) ) {
			$line->add_meta_data( self::FOR_META, $for, true );
		} elseif ( 'gift' === $for && is_email( (string) ( $item[ self::ADDRESS ] ?? '' ) ) ) {
			$line->add_meta_data( self::GIFT_META, (string) $item[ self::ADDRESS ], true );
		}
	}

	/**
	 * Show it with the order's line: to the customer, to staff, and in mails.
	 *
	 * @param array<int|string,object> $rows What is shown.
	 * @param object                   $line The line.
	 */
	public static function show_in_order( $rows, $line ) {
		if ( ! $line instanceof WC_Order_Item_Product ) {
			return $rows;
		}
		$address = (string) $line->get_meta( self::GIFT_META );
		$words   = self::words( '' !== $address ? 'gift' : (string) $line->get_meta( self::FOR_META ), $address );
		if ( '' !== $words ) {
			$rows['academy_bridge'] = (object) array(
				'key'           => 'academy_bridge',
				'value'         => $words,
				'display_key'   => __( 'For', 'academy-bridge' ),
				'display_value' => '<p>' . esc_html( $words ) . '</p>',
			);
		}
		return $rows;
	}

	/**
	 * Staff see the words, not the raw fields beside them.
	 *
	 * @param string[] $keys Hidden keys.
	 */
	public static function hide_raw( $keys ) {
		return array_merge( $keys, array( self::FOR_META, self::GIFT_META ) );
	}

	/**
	 * A choice in words.
	 *
	 * @param string $for_whom "me", "team", "gift" or "".
	 * @param string $address  The gift's.
	 */
	private static function words( string $for_whom, string $address ): string {
		switch ( $for_whom ) {
			case 'me':
				return __( 'myself', 'academy-bridge' );
			case 'team':
				return __( 'my team', 'academy-bridge' );
			case 'gift':
				/* translators: %s: an e-mail address. */
				return sprintf( __( 'a gift to %s', 'academy-bridge' ), $address );
		}
		return '';
	}

	/**
	 * Whether a product is one that asks.
	 *
	 * @param mixed $product A product.
	 */
	private static function is_asked( $product ): bool {
		return $product instanceof WC_Product && Settings::shows( 'choice' ) && Product::asks( $product );
	}

	/**
	 * What was said of a product that asks; null if it does not, or nothing was said.
	 *
	 * @param int $product_id   The product.
	 * @param int $variation_id The variation, or 0.
	 * @return array{for:string,gift_to:string}|null
	 */
	private static function said_of( int $product_id, int $variation_id ): ?array {
		$said = self::posted();
		return null !== $said && self::is_asked( wc_get_product( $variation_id ? $variation_id : $product_id ) ) ? $said : null;
	}

	/**
	 * What the form brought. It needs no nonce, as WooCommerce's own form has none: it fills the visitor's own cart.
	 *
	 * @return array{for:string,gift_to:string}|null
	 */
	private static function posted(): ?array {
		// phpcs:disable WordPress.Security.NonceVerification.Missing
		if ( ! isset( $_POST[ self::FIELD ] ) ) {
			return null;
		}
		$for = is_string( $_POST[ self::FIELD ] ) ? sanitize_key( $_POST[ self::FIELD ] ) : '';
		// Not sanitize_email(): that makes one address of two, and it would be somebody else's.
		$gift_to = isset( $_POST[ self::ADDRESS ] ) && is_string( $_POST[ self::ADDRESS ] ) ? sanitize_text_field( wp_unslash( $_POST[ self::ADDRESS ] ) ) : '';
		// phpcs:enable
		return array(
			'for'     => in_array( $for, array( 'me', 'team', 'gift' ), true ) ? $for : '',
			'gift_to' => strlen( $gift_to ) <= 254 ? strtolower( $gift_to ) : '',
		);
	}
}
